"""The words of the domain as frozen values, and their JSON form.

Nothing here knows that there is a database, a clock, an event loop or a cluster.
"""
