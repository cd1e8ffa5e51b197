"""``python -m callcenter.cli``: the same as the ``callcenter`` command; how the supervisor starts its children."""

from callcenter.cli import main

if __name__ == "__main__":
    main()
