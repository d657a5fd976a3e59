"""Small commands for every day: annotations without `$(date)`, waiting, addresses and events."""
