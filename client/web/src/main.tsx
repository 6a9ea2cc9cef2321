import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { startI18n } from './i18n';
import { getPreferences } from './lib/preferences';
import './styles/fonts.css';
import './styles/tokens.css';
import './styles/base.css';

startI18n(getPreferences().language);

const root = document.getElementById('root');
if (root) createRoot(root).render(<App />);
