"""Demo guests: four small virtual machines that show, and test, how a portal treats guests of different temper."""
