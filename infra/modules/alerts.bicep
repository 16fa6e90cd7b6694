// What a person must hear of even if the app itself is silent; the app's own alarms go to ALERT_WEBHOOK.

@description('Begins the names of the alerts.')
@minLength(1)
@maxLength(60)
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the workspace.')
param workspaceId string

@description('Who is told.')
param email string

@description('More failed requests and functions than this within 15 minutes are told.')
@minValue(0)
@maxValue(100000)
param failures int

var alerts = [
  {
    name: 'poison'
    severity: 1
    description: 'Work failed for good: a message stands in a poison queue. See docs/operations.md.'
    query: 'AppTraces | where Message startswith "poison." and SeverityLevel >= 3'
    threshold: 0
  }
  {
    name: 'tick'
    severity: 1
    description: 'The timer has not run for 15 minutes. POST /api/tick does its work meanwhile; restart the app.'
    query: 'union isfuzzy=true (AppTraces | where Message startswith "tick.done"), (AppRequests | where Name == "tick") | summarize runs = count() | where runs == 0'
    threshold: 0
  }
  {
    name: 'failures'
    severity: 2
    description: 'Functions fail, or the app answers with server errors.'
    query: 'AppRequests | where toint(ResultCode) >= 500 or (Success == false and coalesce(toint(ResultCode), 0) !between (400 .. 499))'
    threshold: failures
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'mailgrant'
    enabled: true
    emailReceivers: [{ name: 'operator', emailAddress: email, useCommonAlertSchema: true }]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in alerts: {
    name: '${prefix}-${alert.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Mailgrant: ${alert.name}'
      description: alert.description
      severity: alert.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        allOf: [
          {
            query: alert.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: alert.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [people.id] }
      autoMitigate: true
      // The tables of a fresh workspace come with the first telemetry.
      skipQueryValidation: true
    }
  }
]
