"""Lua scripts and functions: the language, without the commands that start it.

A script runs in a `machine`: a Lua 5.1 of its own with Redis's globals and nothing else (`lua/sandbox.lua`). What it
asks of the server goes to a `Caller`, and comes back as a reply that `conversion` makes a Lua value of.

    arithmetic   numbers that Lua cannot take apart itself: IEEE bytes, 32-bit operations, drand48
    bytecode     tail calls made ordinary ones, so that an error can name the line that called redis.call
    conversion   replies as Lua values
    running      the script that runs now: what it may do, how long it has run, whether it is to end
    machine      one Lua
    scripts      EVAL's scripts by their SHA1, shebang lines
    libraries    FUNCTION's libraries
    engine       all of it together
"""
