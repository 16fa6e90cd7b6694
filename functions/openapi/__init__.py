"""The API's description: an OpenAPI 3.1 document made of the routes, the models of requests and those of answers."""
