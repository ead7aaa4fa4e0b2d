"""Nothing: the migrations carry what they need."""
