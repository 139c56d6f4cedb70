"""What an admin sees: the decision log, the counters and their exposition, the log's shape. Decides nothing."""
