"""`python -m cornernet`, which is also what torchrun starts."""

from cornernet.cli import main

if __name__ == "__main__":
    main()
