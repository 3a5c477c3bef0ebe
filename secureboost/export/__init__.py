"""Taking a model out: as an XGBoost file with every party's consent, as scoring bundles without."""
