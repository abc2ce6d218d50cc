"""synproxy, as a shell calls it."""

import signal


def program() -> None:
    """Ctrl-C ends it by the signal, unless who started it has that ignored: see cli.interrupt.

    Before anything that takes time is imported: amid that Python may pass it over."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from appliance.cli.main import main

    main()


if __name__ == "__main__":
    program()
