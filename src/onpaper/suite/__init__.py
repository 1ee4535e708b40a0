"""The suite: plans, verdicts, known failures, and runs over several backends."""
