"""The portal's pages. They read through `vms.queries` and change things through `vms.actions`, and nothing else."""
