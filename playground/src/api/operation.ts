/** A JSON value, as secrets and metadata have them. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A GraphQL operation with the types of its answer and of its variables. */
export type Operation<Data, Variables> = {
  readonly name: string;
  readonly text: string;
  /** Never there: it ties the types to the value. */
  readonly types?: (variables: Variables) => Data;
};
