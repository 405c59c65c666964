"""What is right and what is wrong with a shop's set-up, and how to mend it.

``findings.py`` says what a finding is, and runs checks; each other file looks at one subject. Nothing here
prints, and nothing changes a thing: neither on the PBX, whose Stasis application stays the service's, nor in
the CRM.
"""
