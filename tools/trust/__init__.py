"""What the trust table is made from: trained models and their data."""
