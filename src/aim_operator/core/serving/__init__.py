"""Model servers: what one runs on, how it is rendered, and how its roll-outs are going."""
