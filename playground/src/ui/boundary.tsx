import { Component, type ReactNode } from 'react';
import { Notice } from './notice';

type Props = { name: string; children: ReactNode };

/**
 * Keeps the page when a part of it fails, as one does whose files cannot be fetched: the server is away, or another version by now.
 * What has failed to load is not asked for again by the browser, so the whole page is.
 */
export class Boundary extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Notice tone="bad">
        {this.props.name} could not be loaded. <button type="button" onClick={() => window.location.reload()}>Load the page again</button>
      </Notice>
    );
  }
}
