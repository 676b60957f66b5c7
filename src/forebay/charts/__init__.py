"""Tables as charts, shared by the report, the terminal and the article."""
