using 'main.bicep'

// Each value comes from the environment; `azd env set NAME value` puts it there, and azd fills in the first two.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')

param pythonVersion = readEnvironmentVariable('APP_PYTHON_VERSION', '3.13')
param instanceMemoryMB = int(readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048'))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '40'))
param httpConcurrency = int(readEnvironmentVariable('HTTP_CONCURRENCY', '16'))
param alwaysReadyHttp = int(readEnvironmentVariable('ALWAYS_READY_HTTP', '0'))

param storageSku = readEnvironmentVariable('STORAGE_SKU', 'Standard_LRS')
param storageRestoreDays = int(readEnvironmentVariable('STORAGE_RESTORE_DAYS', '0'))
param destinationQueues = filter(split(readEnvironmentVariable('DESTINATION_QUEUES', ''), ','), name => !empty(name))
param vaultSoftDeleteDays = int(readEnvironmentVariable('VAULT_SOFT_DELETE_DAYS', '90'))
param vaultPurgeProtection = bool(readEnvironmentVariable('VAULT_PURGE_PROTECTION', 'true'))
param logRetentionDays = int(readEnvironmentVariable('LOG_RETENTION_DAYS', '30'))
param logDailyCapGb = int(readEnvironmentVariable('LOG_DAILY_CAP_GB', '5'))

param useNetwork = bool(readEnvironmentVariable('USE_NETWORK', 'false'))
param networkPrefix = readEnvironmentVariable('NETWORK_PREFIX', '10.77.0.0/24')
param uploadsFromInternet = bool(readEnvironmentVariable('UPLOADS_FROM_INTERNET', 'false'))

param publicBaseUrl = readEnvironmentVariable('PUBLIC_BASE_URL', '')
param adminAuth = readEnvironmentVariable('ADMIN_AUTH', 'key')
param adminTenant = readEnvironmentVariable('ADMIN_TENANT', '')
param adminClientId = readEnvironmentVariable('ADMIN_CLIENT_ID', '')
param tickSchedule = readEnvironmentVariable('TICK_SCHEDULE', '0 * * * * *')
param deliveryAllow = readEnvironmentVariable('DELIVERY_ALLOW', '')
param deliveryProxy = readEnvironmentVariable('DELIVERY_PROXY', '')
param turnKey = readEnvironmentVariable('TURN_KEY', 'mailbox')
param alertWebhook = readEnvironmentVariable('ALERT_WEBHOOK', '')
param alertFormat = readEnvironmentVariable('ALERT_FORMAT', 'cloudevents')
param alertWebhookSecret = readEnvironmentVariable('ALERT_WEBHOOK_SECRET', '')

param operatorEmail = readEnvironmentVariable('OPERATOR_EMAIL', '')
param failureThreshold = int(readEnvironmentVariable('FAILURE_THRESHOLD', '10'))
param monthlyBudget = int(readEnvironmentVariable('MONTHLY_BUDGET', '50'))
param budgetStart = readEnvironmentVariable('BUDGET_START', '')
