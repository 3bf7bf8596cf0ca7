"""The engine carries operations out: it claims a VM, looks, decides, writes down, acts, and looks again.

It knows the database and the hypervisor port. It knows neither Celery nor who asked.
"""
