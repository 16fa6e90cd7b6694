// Every view of the console. A view is a module views/<name>.js that exports `title` and `render(root, params)`;
// docs/console.md says how one is added.

/** The areas of the navigation: where they lead and what they are called. */
export const areas = [
  ['', 'Overview'],
  ['connections', 'Connections'],
  ['grants', 'Grants'],
  ['credentials', 'Credentials'],
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
];

/** What stands beside a connection: the end of its address, what it is called, and for which direction. */
export const connectionTabs = [
  ['', 'Connection', 'both'],
];
