import { useMonaco } from '@graphiql/react';
import { useEffect } from 'react';

/** The editor in the colours of the page, by theme. What is listed as `tokens` is too faint on them in the colours that it comes with. */
const THEMES = {
  'graphiql-LIGHT': {
    base: 'vs', accent: '#0b6b64', tint: '#e0f1ef', surface: '#ffffff', raised: '#f8fafb',
    tokens: { comment: '#3f6b2d', 'argument.identifier.gql': '#504dbd', type: '#006c6c', number: '#08714a', annotation: '#5a6570' },
  },
  'graphiql-DARK': {
    base: 'vs-dark', accent: '#4cc3b6', tint: '#17383a', surface: '#1d2731', raised: '#2c3844',
    tokens: { comment: '#8fbf7f', 'argument.identifier.gql': '#a5a1ff', annotation: '#e08a8a' },
  },
} as const;

/** Puts these themes in the place of those of GraphiQL, which go by the same names. */
export function useEditorThemes(): void {
  const monaco = useMonaco((state) => state.monaco);
  useEffect(() => {
    for (const [name, { base, accent, tint, surface, raised, tokens }] of Object.entries(THEMES)) {
      monaco?.editor.defineTheme(name, {
        base,
        inherit: true,
        colors: {
          'editor.background': '#ffffff00',
          'scrollbar.shadow': '#ffffff00',
          'editorHoverWidget.background': surface,
          'editorSuggestWidget.background': surface,
          'editorSuggestWidget.selectedBackground': tint,
          'editorSuggestWidget.selectedForeground': accent,
          'editorSuggestWidget.highlightForeground': accent,
          'editorWidget.background': surface,
          'editorWidget.resizeBorder': accent,
          'menu.background': surface,
          'menu.selectionBackground': tint,
          'menu.selectionForeground': accent,
          'quickInput.background': surface,
          'quickInputList.focusBackground': tint,
          'quickInputList.focusForeground': accent,
          'pickerGroup.foreground': accent,
          'list.hoverBackground': raised,
          'list.highlightForeground': accent,
          'list.focusHighlightForeground': accent,
          'textLink.foreground': accent,
          'textLink.activeForeground': accent,
          'editorLink.activeForeground': accent,
          'input.background': raised,
          'inputOption.hoverBackground': tint,
          'toolbar.hoverBackground': tint,
          focusBorder: accent,
        },
        rules: Object.entries(tokens).map(([token, foreground]) => ({ token, foreground })),
      });
    }
  }, [monaco]);
}
