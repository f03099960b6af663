"""The pages that people see, and the HTTP interface that programs use."""
