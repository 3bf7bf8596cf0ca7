"""What the portal decides, in plain Python: no Django, Celery, Redis or libvirt.

Everything here is a function of its arguments, so that it can be tested by the thousand without a database.
"""
