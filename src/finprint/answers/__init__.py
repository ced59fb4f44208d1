"""Five names a query: scores, rules fitted on validation, search, proposed new individuals."""
