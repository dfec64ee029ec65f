// Makes the slug of a title, as it stands in an address.
//
//   {"title": "Crème brûlée, please!"}  →  {"slug": "creme-brulee-please"}

module.exports = async ({ params }) => {
  const slug = params.title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{Mark}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  if (slug === '') throw new Error('The title has neither letters nor digits');
  console.log('the slug of', params.title, 'is', slug); // into the log of the call
  return { slug };
};
