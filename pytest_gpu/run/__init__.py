"""One run, step by step: opening, survey, ladder, outcomes, ledger, results."""
