// Nothing stops at the budget: Azure tells at half, at all of it, and when the forecast passes it.

@description('Name of the budget.')
@minLength(1)
@maxLength(63)
param name string

@description('Money a month, in the currency of the subscription.')
@minValue(0)
@maxValue(1000000)
param amount int

@description('First day of the first month, as yyyy-MM-01.')
param start string

@description('Who is told.')
param email string

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: start }
    notifications: {
      half: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 50
        thresholdType: 'Actual'
        contactEmails: [email]
      }
      all: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Actual'
        contactEmails: [email]
      }
      forecast: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: [email]
      }
    }
  }
}
