"""Questions, answers, bytes. Knows no tree and no cipher; ciphertexts travel as bytes."""
