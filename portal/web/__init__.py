"""What every page shares: the transaction of a request, sign-in sessions, permissions, headers, errors, lists, logs.

request -> request id, log context -> who is it (sessions) -> may it (permissions) -> view
        -> commit below 400, otherwise roll back and write the refusals -> headers -> log line, metrics
"""
