"""Tools for one's own terminal that need no daemon: `energyd measure`, `energyd json`, `energyd top`."""
