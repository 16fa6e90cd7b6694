// Every view of the console. A view is a module views/<name>.js that exports `title` and `render(root, params)`;
// docs/console.md says how one is added.

/** The areas of the navigation: where they lead and what they are called. */
export const areas = [
  ['', 'Overview'],
  ['connections', 'Connections'],
  ['grants', 'Grants'],
  ['credentials', 'Credentials'],
  ['activity', 'Activity'],
  ['audit', 'Audit log'],
  ['guide', 'First steps'],
];

/** Patterns of addresses behind `#/`, and the view that shows each; `:name` is a part that the view gets. */
export const routes = [
  ['', () => import('./views/overview.js')],
  ['guide', () => import('./views/guide.js')],
  ['credentials', () => import('./views/credentials.js')],
  ['credentials/new', () => import('./views/credential-new.js')],
  ['credentials/:id', () => import('./views/credential.js')],
  ['grants', () => import('./views/grants.js')],
  ['grants/:id', () => import('./views/grant.js')],
  ['connections', () => import('./views/connections.js')],
  ['connections/new', () => import('./views/connection-new.js')],
  ['connections/:id', () => import('./views/connection.js')],
  ['connections/:id/received', () => import('./views/received.js')],
  ['connections/:id/outbox', () => import('./views/outbox.js')],
  ['connections/:id/templates', () => import('./views/templates.js')],
  ['connections/:id/templates/:name', () => import('./views/template.js')],
  ['connections/:id/hooks', () => import('./views/hooks.js')],
  ['connections/:id/tokens', () => import('./views/tokens.js')],
  ['connections/:id/activity', () => import('./views/activity.js')],
  ['connections/:id/log', () => import('./views/log.js')],
  ['received/:id', () => import('./views/mail.js')],
  ['outbox/:id', () => import('./views/message.js')],
  ['activity', () => import('./views/activity.js')],
  ['audit', () => import('./views/audit.js')],
];

/** What stands beside a connection: the end of its address, what it is called, and for which direction. */
export const connectionTabs = [
  ['', 'Connection', 'both'],
  ['received', 'Received', 'incoming'],
  ['outbox', 'Outbox', 'outgoing'],
  ['templates', 'Templates', 'outgoing'],
  ['hooks', 'Hooks', 'outgoing'],
  ['tokens', 'Tokens', 'both'],
  ['activity', 'Activity', 'both'],
  ['log', 'Log', 'both'],
];
