"""The rows of the table of settings, one module for each section; `energyd.settings` puts them together."""
