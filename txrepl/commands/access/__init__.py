"""Access control: users, what each of them may do, and the record of what was denied (Redis's `acl.c`).

rules      the words of a rule that many parts share, and why one is refused
selectors  a set of commands, keys and channels that go together
users      a user and the registry of all; names, passwords, selectors
checks     may a user run this command with these words?
loading    users from the configuration's lines and from the ACL file
record     what was denied of late (ACL LOG)

Everything here is a value: files, sockets and sessions belong to others.
"""
