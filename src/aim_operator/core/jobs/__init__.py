"""Jobs whose retries are the operator's: their manifest, record of attempts and one state machine."""
