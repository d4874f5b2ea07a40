"""`python -m perdure_operator`: the controller."""

import sys

from perdure_operator.main import main

if __name__ == "__main__":
    sys.exit(main())
