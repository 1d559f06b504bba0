import { type GraphiQLPlugin, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { EXAMPLES, type Example } from './examples';

/** The operations of the tour beside the editor; each opens in a tab of its own. */
export const EXAMPLES_PLUGIN: GraphiQLPlugin = { title: 'Tour', icon: TourIcon, content: Tour };

function TourIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M4 5.5 9.5 4l5 1.5L20 4v14.5L14.5 20l-5-1.5L4 20z" /><path d="M9.5 4v14.5M14.5 5.5V20" />
    </svg>
  );
}

function Tour() {
  const open = useOpen();
  const groups = [...new Set(EXAMPLES.map((example) => example.group))];
  return (
    <section className="tour" aria-label="Tour">
      <h2>Tour</h2>
      <p>Operations ready to run, in the order of the README. Each opens in a tab.</p>
      {groups.map((group) => (
        <div key={group}>
          <h3>{group}</h3>
          <ul>
            {EXAMPLES.filter((example) => example.group === group).map((example) => (
              <li key={example.id}><button type="button" className="link" onClick={() => open(example)}>{example.title}</button></li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

function useOpen(): (example: Example) => void {
  const { tabs, queryEditor, variableEditor } = useGraphiQL((state) => ({
    tabs: state.tabs,
    queryEditor: state.queryEditor,
    variableEditor: state.variableEditor,
  }));
  const { addTab, changeTab } = useGraphiQLActions();
  return (example) => {
    const there = tabs.findIndex((tab) => tab.query?.trim() === example.query.trim());
    if (there >= 0) {
      changeTab(there);
      return;
    }
    addTab();
    queryEditor?.setValue(example.query);
    variableEditor?.setValue(example.variables);
    queryEditor?.focus();
  };
}
