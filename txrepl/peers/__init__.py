"""Connections that this node opens to other servers: lines to shake hands over, replies to ask questions by.

    line_wire   a conversation of lines, each waited for: what `replication.handshake` talks over
    asking      commands and whole replies, in pipelines
    dialing     how a connection is opened, and why it could not be

Nothing here knows a node; who has one passes in what is needed.
"""
