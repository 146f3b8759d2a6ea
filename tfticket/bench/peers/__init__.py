"""What others do, each in a process of its own: run as `python -m`, never imported by ours."""
