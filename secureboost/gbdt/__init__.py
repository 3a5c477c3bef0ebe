"""SecureBoost: histogram gradient boosting over columns that several parties own."""
