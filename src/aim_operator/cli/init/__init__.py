"""`aimctl init`: a catalog's first image, template and service, by flags or by answers."""
