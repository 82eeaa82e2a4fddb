"""What can be done in the panel, a module for each subject of the vault.

Pages and the JSON API both call these. Each does one operation of `casvault.api` and notes it in the activity, with the
command line that does the same; long ones become jobs.
"""
