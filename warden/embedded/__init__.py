"""One box, one command: PostgreSQL, Valkey and Warden's own processes under one supervisor.

Nothing here imports Django: these modules start the programs that do.

    home        the folder everything lives in, and who is using it
    processes   starting a child that cannot outlive us
    postgres    the PostgreSQL of a home
    valkey      the Valkey of a home
    services    both, for tests and single commands
    supervisor  a list of programs kept running
    run         `script/run`
"""
