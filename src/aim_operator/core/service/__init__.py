"""Services: which image, template and configuration they mean, and what is rendered from them."""
