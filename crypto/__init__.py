"""Additively homomorphic encryption: integers and bytes. Knows no tree, no party, no network."""
