"""Write one of the pages to standard output."""

import sys

from perdure.testing.semantics import TABLES, names_page, semantics_page

if __name__ == "__main__":
    sys.stdout.write(names_page() if sys.argv[1:] == ["names"] else semantics_page(TABLES))
