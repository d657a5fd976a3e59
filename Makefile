# Run `make help` for what there is.
