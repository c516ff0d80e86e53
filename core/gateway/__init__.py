"""The prediction gateway: what stands between programs and the model servers."""
