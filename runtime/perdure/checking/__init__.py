"""The static check of `perdure check`: what an orchestration may not do, found before it runs.

It reads source and imports nothing of it. From the checked files it gathers definitions (functions
under `@orchestration` and `@activity`), follows the names in each orchestration to the helpers
that it reaches within those files, and applies a table of rules to every body on the way. It is a
lint, not a proof: what goes by names that it cannot resolve is left to the tripwire.

================  =====================================================
`sources`         which files, and their parsed text
`names`           what a name in a body stands for
`program`         all files together: definitions, and what they reach
`calls`, `order`  the rules about bodies
`flow`
`definitions`     the rules about decorated functions
`suppressions`    `# perdure: allow PD101 reason`
`report`          everything together
================  =====================================================
"""

from perdure.checking.report import Report, check
from perdure.checking.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "Report", "Rule", "check"]
