"""``python -m server`` is ``keyturn``."""

if __name__ == "__main__":
    try:
        from server.cli import main

        status = main()
    except KeyboardInterrupt:
        status = 130
    raise SystemExit(status)
