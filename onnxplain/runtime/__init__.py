"""Running programs: sessions, devices, shared weights, batches."""
